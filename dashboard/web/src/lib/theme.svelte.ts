import type { Theme } from './colours';

const STORED = 'graticule-theme';

/** The theme: the system's, until one is chosen. */
export class ThemeChoice {
  #chosen = $state<Theme | null>(stored());
  #system = $state<Theme>('light');

  constructor() {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    this.#system = dark.matches ? 'dark' : 'light';
    dark.addEventListener('change', () => (this.#system = dark.matches ? 'dark' : 'light'));
    this.#show();
  }

  get now(): Theme {
    return this.#chosen ?? this.#system;
  }

  toggle(): void {
    this.#chosen = this.now === 'dark' ? 'light' : 'dark';
    try {
      localStorage.setItem(STORED, this.#chosen);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    this.#show();
  }

  #show(): void {
    if (this.#chosen) document.documentElement.dataset['theme'] = this.#chosen;
  }
}

function stored(): Theme | null {
  try {
    const value = localStorage.getItem(STORED);
    return value === 'light' || value === 'dark' ? value : null;
  } catch {
    return null;
  }
}
