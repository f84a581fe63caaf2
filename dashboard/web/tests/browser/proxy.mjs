/**
 * A reverse proxy as notebooks have them: `node proxy.mjs UPSTREAM PREFIX [--no-websocket]` serves what is at UPSTREAM
 * below PREFIX and nothing beside it, says its address on its first line, and ends with its input.
 */
import { createServer, request } from 'node:http';
import { connect } from 'node:net';

const [upstream = '', prefix = '/', option] = process.argv.slice(2);
const { hostname, port } = new URL(upstream);
/** What is between two neighbours and not passed on: who knows no WebSocket passes no wish for one. */
const HOPS = new Set(['connection', 'upgrade', 'keep-alive', 'transfer-encoding', 'proxy-connection', 'te', 'trailer']);

const isInside = (url) => url.startsWith(prefix);
const pathOf = (url) => `/${url.slice(prefix.length)}`;
const passedOn = (headers) => Object.fromEntries(Object.entries(headers).filter(([name]) => !HOPS.has(name)));

const server = createServer((asked, answer) => {
  if (!isInside(asked.url)) return answer.writeHead(404).end(`nothing is at ${asked.url}\n`);
  const options = { hostname, port, path: pathOf(asked.url), method: asked.method, headers: passedOn(asked.headers) };
  const passed = request(options, (came) => {
    answer.writeHead(came.statusCode, passedOn(came.headers));
    came.pipe(answer);
  });
  passed.on('error', () => (answer.headersSent ? answer.destroy() : answer.writeHead(502).end()));
  answer.on('close', () => passed.destroy());
  asked.pipe(passed);
});

if (option !== '--no-websocket') {
  server.on('upgrade', (asked, socket, head) => {
    if (!isInside(asked.url)) return socket.end('HTTP/1.1 404 Not Found\r\n\r\n');
    const behind = connect(Number(port), hostname, () => {
      const lines = asked.rawHeaders.reduce((text, it, at) => text + it + (at % 2 ? '\r\n' : ': '), '');
      behind.write(`${asked.method} ${pathOf(asked.url)} HTTP/1.1\r\n${lines}\r\n`);
      behind.write(head);
      behind.pipe(socket).pipe(behind);
    });
    behind.on('error', () => socket.destroy());
    socket.on('error', () => behind.destroy());
  });
}

server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}${prefix}`));
process.stdin.resume().on('end', () => process.exit());
