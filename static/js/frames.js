// Gradio's sign of loading goes on counting time after it is gone: a frame 60 times a second, for ever, in every tab.
// It is given none any more once the page is there. Loaded before Gradio's own scripts.

{
  const ask = window.requestAnimationFrame.bind(window);
  const counts = () => document.querySelector(".studio-panel") && /statustracker/.test(new Error().stack);
  window.requestAnimationFrame = (callback) => (counts() ? 0 : ask(callback));
}
