"""The web page in a real browser: headless Chromium, driven by playwright."""
