// The tabs of the side panel.

/**
 * Opens a tab of the side panel. Where there is no room for its button, it is in the menu of further tabs.
 * @param {string} id
 * @param {string} name
 */
export function showTab(id, name) {
  const further = /** @type {NodeListOf<HTMLElement>} */ (
    document.querySelectorAll(".overflow-dropdown button")
  );
  const tab =
    document.getElementById(`${id}-button`) ?? [...further].find((item) => item.textContent === name);
  tab?.click();
}
