// Dark or light, as the studio's page is. It runs before the page is drawn.

document.body.classList.toggle(
  "dark",
  (new URLSearchParams(location.search).get("__theme") ??
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark",
);
