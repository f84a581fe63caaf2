import { mount } from 'svelte';

import App from './App.svelte';
import './styles.css';
import './topic.css';

const target = document.getElementById('app');
if (!target) throw new Error('the page has no element #app');

export default mount(App, { target });
