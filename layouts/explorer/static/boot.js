/** Starts the page: with the data that stand in it, or asking the server that it came from. */

import { overHttp } from "./api.js";
import { mount } from "./main.js";

const held = document.getElementById("data");
const root = document.getElementById("root");
const data = held ? JSON.parse(held.textContent) : null;
mount(root, { request: data ? null : overHttp, data, addressed: true, state: root.dataset.state ?? "" });
