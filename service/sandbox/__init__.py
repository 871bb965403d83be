"""An upstream to develop against: the image API as a real server whose moods are knobs; start at app.py."""
