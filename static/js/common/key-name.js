// Names of keys with their modifiers, such as Ctrl+Shift+Z.

/** @param {KeyboardEvent} event */
export function keyName(event) {
  const letter = event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase();
  const modifiers = [
    (event.ctrlKey || event.metaKey) && "Ctrl",
    event.altKey && "Alt",
    event.shiftKey && "Shift",
  ].filter(Boolean);
  return [...modifiers, event.key.length === 1 ? letter : event.key].join("+");
}
