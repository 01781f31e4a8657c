const THEMES = ['system', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];

const KEY = 'tessera.theme';

function stored(): Theme {
  const value = localStorage.getItem(KEY);
  return THEMES.find((theme) => theme === value) ?? 'system';
}

function apply(theme: Theme, toggle: HTMLButtonElement): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  toggle.ariaLabel = `Colours: ${theme}`;
  toggle.title = `Colours: ${theme}`;
}

/** The button goes round: as the system says, light, dark. */
export function startTheme(toggle: HTMLButtonElement): void {
  let theme = stored();
  apply(theme, toggle);
  toggle.addEventListener('click', () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    localStorage.setItem(KEY, theme);
    apply(theme, toggle);
  });
}
