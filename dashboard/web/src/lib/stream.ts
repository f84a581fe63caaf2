/**
 * One stream of frames: a WebSocket, or server-sent events where a proxy lets no socket pass. Who opens it reconnects.
 */
export interface StreamHandlers {
  /** A frame: text, or the bytes of a binary one. */
  onframe: (frame: string | Uint8Array<ArrayBuffer>) => void;
  /** It ended, or never began; not called after `close`. */
  onend: () => void;
}

/** Sockets that never opened, after which server-sent events are tried as well. */
const SOCKET_FAILURES_MAX = 2;

/** Of all streams of the page, since what lets no socket pass lets none of them pass. */
let socketFailures = 0;

/** Opens the stream of a topic, such as `arrays/3`; the empty one is the cluster's. Returns how to close it. */
export function openStream(topic: string, handlers: StreamHandlers): () => void {
  const isBinary = topic !== '';
  const tail = isBinary ? `/${topic}` : '';
  const takesEvents = socketFailures > SOCKET_FAILURES_MAX && socketFailures % 2 === 1;
  return takesEvents ? openEvents(`api/events${tail}`, isBinary, handlers) : openSocket(`api/live${tail}`, handlers);
}

function openSocket(path: string, { onframe, onend }: StreamHandlers): () => void {
  const address = new URL(path, document.baseURI);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(address);
  socket.binaryType = 'arraybuffer';
  let [isClosed, isHeard] = [false, false];
  socket.onmessage = (event) => {
    if (!isHeard) socketFailures = 0;
    isHeard = true;
    onframe(typeof event.data === 'string' ? event.data : new Uint8Array(event.data as ArrayBuffer));
  };
  socket.onclose = () => {
    if (isClosed) return;
    if (!isHeard) socketFailures += 1;
    onend();
  };
  return () => {
    isClosed = true;
    socket.close();
  };
}

function openEvents(path: string, isBinary: boolean, { onframe, onend }: StreamHandlers): () => void {
  const events = new EventSource(new URL(path, document.baseURI));
  events.onmessage = (event) => onframe(isBinary ? fromBase64(event.data as string) : (event.data as string));
  events.onerror = () => {
    socketFailures += 1;
    events.close();
    onend();
  };
  return () => events.close();
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (unit) => unit.charCodeAt(0));
}
