/** Light or dark: as the system says, until the reader chooses. The choice is kept where the browser allows it. */

const STORAGE_KEY = "cnnc-report-theme";

export function mountThemeButton() {
  const button = document.getElementById("theme-button");
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = theme === "dark" ? "Light colours" : "Dark colours";
  };
  apply(rememberedTheme() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  button.addEventListener("click", () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    apply(theme);
    remember(theme);
  });
}

/** Pages opened from a file may have no storage, and reading it then raises. */
function rememberedTheme() {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}

function remember(theme) {
  try {
    localStorage.setItem(STORAGE_KEY, theme);
  } catch {
    // The choice holds for this visit only.
  }
}
