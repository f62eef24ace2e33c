// The chosen theme, before anything is painted: no module, since modules come late.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("ds2api-theme");
  } catch {
    // Storage may be forbidden: then the system's theme it is.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
