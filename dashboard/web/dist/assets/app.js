const app = document.getElementById("app");
const socket = new WebSocket(new URL("api/live", document.baseURI).href.replace(/^http/, "ws"));
const pre = app.appendChild(document.createElement("pre"));
socket.onmessage = (event) => {
  const { head } = JSON.parse(event.data);
  pre.textContent = `${head.done} of ${head.total} tasks done, ${head.running} running, ${head.rate} a second`;
};
