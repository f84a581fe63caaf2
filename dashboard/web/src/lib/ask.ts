import type { BlockStory, Key, Outline } from './frame';

/** Asks the server once. `null` if it does not know, or does not answer. */
async function ask<T>(path: string, signal?: AbortSignal): Promise<T | null> {
  try {
    const response = await fetch(new URL(path, document.baseURI), signal ? { signal } : {});
    return response.ok ? ((await response.json()) as T) : null;
  } catch {
    return null;
  }
}

export const askOutline = (job: Key) => ask<Outline>(`api/plans/${job}`);

export const askBlock = (layer: Key, block: number, signal?: AbortSignal) =>
  ask<BlockStory>(`api/blocks/${layer}/${block}`, signal);
