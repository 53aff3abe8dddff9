// Where the page of footage is.

/** The page of all footage, or of one, in the theme of this page. @param {string | null} footage */
export function footageAddress(footage = null) {
  const theme = document.body.classList.contains("dark") ? "dark" : "light";
  return `/footage?__theme=${theme}${footage ? `#${footage}` : ""}`;
}
