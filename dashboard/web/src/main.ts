import { mount } from 'svelte';

import App from './App.svelte';
import './styles.css';
import './topic.css';

const target = document.getElementById('app');
if (!target) throw new Error('the page has no element #app');

// A report says there what to do if it cannot be opened.
target.replaceChildren();
export default mount(App, { target, props: { film: document.getElementById('film')?.textContent ?? null } });
