// Small clients as people write them for the image API with Node's own fetch; none knows that there is a gateway.
// node small_clients.mjs STYLE BASE_URL KEY PROMPT…: buys an image for each prompt, prints the images' URLs as JSON.

const [style, baseUrl, key, ...prompts] = process.argv.slice(2);
const MODEL = "bytedance-seedream-4.5";
const CREATE = `${baseUrl}/v1i/task/generate-image`;
const pause = () => new Promise((resolve) => setTimeout(resolve, 20));
const firstImage = (task) => task.metadata.result_images[0].imageUrl;

async function created(body, headers) {
  const answer = await fetch(CREATE, { method: "POST", body, headers });
  const parsed = await answer.json();
  if (!parsed.success) throw new Error(parsed.message ?? parsed.error);
  return parsed;
}

async function urlencoded(prompt) {
  const headers = { "xi-api-key": key };
  const body = new URLSearchParams({ prompt, model_id: MODEL, generations_count: "1", resolution: "2K" });
  const { task_id } = await created(body, headers);
  for (;;) {
    const answer = await fetch(`${baseUrl}/v1/task/${task_id}`, { headers });
    const task = answer.ok ? await answer.json() : {};
    if (task.status === "done") return task.metadata.audio_url;
    await pause();
  }
}

async function flatJson(prompt) {
  const headers = { Authorization: `Bearer ${key}`, "Content-Type": "application/json" };
  const wish = { prompt, model_id: MODEL, generations_count: 1, aspect_ratio: "16:9" };
  const { task_id, estimated_credits, ec_remain_credits } = await created(JSON.stringify(wish), headers);
  if (typeof estimated_credits !== "number" || typeof ec_remain_credits !== "string") throw new Error("credits");
  for (;;) {
    const task = await (await fetch(`${baseUrl}/v1/task/${task_id}`, { headers })).json();
    if (task.status === "done") return firstImage(task);
    await pause();
  }
}

async function fullPoller(prompt) {
  const headers = { "xi-api-key": key };
  const { task_id } = await created(new URLSearchParams({ prompt, model_id: MODEL }), headers);
  for (;;) {
    const answer = await fetch(`${baseUrl}/v1/task/${task_id}/full`, { headers });
    if (answer.status !== 200) throw new Error(`poll failed with ${answer.status}`);
    const task = await answer.json();
    if (task.status === "done") return firstImage(task);
    if (task.status !== "doing") throw new Error(JSON.stringify(task));
    await pause();
  }
}

async function v3Poller(prompt) {
  const headers = { Authorization: key };
  const { task_id } = await created(new URLSearchParams({ prompt, model_id: MODEL }), headers);
  for (;;) {
    const { data } = await (await fetch(`${baseUrl}/v3/task/${task_id}`, { headers })).json();
    if (data.status === "done") return firstImage(data);
    await pause();
  }
}

async function sendsAgain(prompt) {
  const headers = { "xi-api-key": key };
  let taskId = null;
  for (;;) {
    taskId ??= (await created(new URLSearchParams({ prompt, model_id: MODEL }), headers)).task_id;
    const answer = await fetch(`${baseUrl}/v1/task/${taskId}`, { headers });
    const task = await answer.json();
    if (task.status === "done") return firstImage(task);
    if (!answer.ok || task.success === false) taskId = null;
    await pause();
  }
}

async function ownQueue(prompt) {
  const headers = { "xi-api-key": key };
  for (;;) {
    const body = new URLSearchParams({ prompt, model_id: MODEL });
    const answer = await fetch(CREATE, { method: "POST", body, headers });
    if (answer.status === 429) {
      await pause();
      continue;
    }
    const { task_id } = await answer.json();
    for (;;) {
      const poll = await fetch(`${baseUrl}/v1/task/${task_id}`, { headers });
      const task = poll.ok ? await poll.json() : {};
      if (task.status === "done") return firstImage(task);
      await pause();
    }
  }
}

async function withReferences(prompt) {
  const headers = { "xi-api-key": key };
  const png = Buffer.from(process.env.PICTURE, "base64");
  const form = new FormData();
  form.append("prompt", `${prompt}: @img1 in the manner of @img2`);
  form.append("model_id", MODEL);
  form.append("assets", new Blob([png]), "first");
  form.append("assets", new Blob([png]), "second");
  const { task_id } = await created(form, headers);
  for (;;) {
    const answer = await fetch(`${baseUrl}/v1/task/${task_id}`, { headers });
    const task = answer.ok ? await answer.json() : {};
    if (task.status === "done") return firstImage(task);
    await pause();
  }
}

const styles = { urlencoded, flatJson, fullPoller, v3Poller, sendsAgain, ownQueue, withReferences };
console.log(JSON.stringify(await Promise.all(prompts.map((prompt) => styles[style](prompt)))));
