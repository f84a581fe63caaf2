/** The part of the page that shows runs again: it comes with the first run that is opened. */
export { default as Scrubber } from '../components/Scrubber.svelte';
export { Player } from './player.svelte';
