/** Light or dark: as the device is, unless the person chose; the choice is kept on the device. */

const STORED = "openclaw-theme";
const THEMES = ["device", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];

const isTheme = (name: string | null): name is Theme => THEMES.some((theme) => theme === name);

export function bindTheme(select: HTMLSelectElement): void {
  const stored = localStorage.getItem(STORED);
  const theme = isTheme(stored) ? stored : "device";
  select.value = theme;
  apply(theme);
  select.addEventListener("change", () => {
    if (!isTheme(select.value)) return;
    localStorage.setItem(STORED, select.value);
    apply(select.value);
  });
}

function apply(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  // The bar of an installed app: the page has a colour for each, and says which one holds.
  for (const meta of document.querySelectorAll<HTMLMetaElement>('meta[name="theme-color"]')) {
    const { themeColor = "light" } = meta.dataset;
    meta.media =
      theme === "device" ? `(prefers-color-scheme: ${themeColor})` : theme === themeColor ? "all" : "not all";
  }
}
