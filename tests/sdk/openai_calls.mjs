// Calls of OpenAI's own Node library with default settings: node openai_calls.mjs <base URL> <key> <call> [<JSON fields>]
// Prints what came of it as JSON: {images: [...], facts: {...}} or {error: {...}}.
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.cwd(), "index.js"));
const { default: OpenAI, toFile } = require("openai");
const [baseURL, apiKey, call, fields] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${baseURL}/openai/v1`, apiKey });
const wanted = { model: "bytedance-seedream-4.5", prompt: "A lighthouse at dusk", ...JSON.parse(fields ?? "{}") };
const photo = Buffer.from(process.env.PICTURE, "base64");

const calls = {
  generate: () => client.images.generate(wanted),
  edit: async () => {
    const { pictures, ...rest } = wanted;
    const names = Array.from({ length: pictures }, (_, index) => `${index + 1}.png`);
    const files = await Promise.all(names.map((name) => toFile(photo, name, { type: "image/png" })));
    return client.images.edit({ ...rest, image: files.length === 1 ? files[0] : files });
  },
  stream: async () => {
    const data = [];
    for await (const event of await client.images.generate({ ...wanted, stream: true })) data.push(event);
    return { data };
  },
  impatient: () => client.images.generate(wanted, { timeout: 1000 }),
  models: async () => ({ data: [await client.models.retrieve(wanted.model)] }),
};

try {
  const { data, ...facts } = await calls[call]();
  const images = data.map(({ b64_json, ...rest }) => ({
    ...rest,
    head: b64_json && Buffer.from(b64_json, "base64").subarray(0, 4).toString("latin1"),
  }));
  console.log(JSON.stringify({ images, facts }));
} catch (error) {
  const { name, status, code, param, message, constructor } = error;
  console.log(JSON.stringify({ error: { name: constructor.name ?? name, status, code, param, message } }));
}
