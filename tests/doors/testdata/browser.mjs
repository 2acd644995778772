// What a page does: it says CONNECT, subscribes, and takes what comes, text or binary. The first argument is the URL.
const ws = new WebSocket(process.argv[2], ['v10.stomp', 'v11.stomp', 'v12.stomp']);
ws.binaryType = 'arraybuffer';
const done = (code, words) => { console.log(words); process.exitCode = code; ws.close(); };
const timer = setTimeout(() => { console.log('too late'); process.exit(1); }, 20000);
let got = [];
ws.onopen = () => { console.log('protocol', ws.protocol); ws.send('CONNECT\naccept-version:1.2\nhost:/\n\n\0'); };
ws.onerror = e => done(1, 'error ' + e.message);
ws.onclose = e => { clearTimeout(timer); console.log('closed', e.code, e.reason); };
ws.onmessage = e => {
  const kind = typeof e.data === 'string' ? 'text' : 'binary';
  const text = kind === 'text' ? e.data : new TextDecoder().decode(e.data);
  const command = text.split('\n')[0];
  if (command === 'CONNECTED') {
    ws.send('SUBSCRIBE\nid:0\ndestination:/queue/page\n\n\0');
    ws.send('SEND\ndestination:/queue/page\n\ngrüße\0');
    ws.send(new TextEncoder().encode('SEND\ndestination:/queue/page\ncontent-length:4\n\n\xff\0z\0'));
    const raw = new Uint8Array([...new TextEncoder().encode('SEND\ndestination:/queue/page\ncontent-length:2\n\n'), 0xff, 0xfe, 0]);
    ws.send(raw.subarray(0, 20));
    ws.send(raw.subarray(20));
  } else if (command === 'MESSAGE') {
    got.push(kind);
    if (got.length === 3) ws.send('DISCONNECT\nreceipt:bye\n\n\0');
  } else if (command === 'RECEIPT') {
    console.log('kinds', got.join(' '));
  } else done(1, 'unexpected ' + text);
};
