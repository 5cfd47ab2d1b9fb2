// Perfetto's own trace processor, as its viewer ships it (WebAssembly), asked from a command line.
// Usage: node trace_processor.cjs DIRECTORY_OF_THE_VIEWER <requests >replies (TraceProcessorRpcStream, both).
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const own = process;
const directory = own.argv[2];
const requests = new Uint8Array(fs.readFileSync(0));
const shipped = (name) => fs.readFileSync(path.join(directory, path.basename(String(name))));
const nothing = () => {};

// The engine runs in a web worker: it is shown one.
delete globalThis.process;
Object.assign(console, { log: nothing, warn: nothing, info: nothing, debug: nothing });
Object.assign(globalThis, {
  self: globalThis,
  WorkerGlobalScope: class {},
  location: { href: "file:///engine_bundle.js" },
  importScripts: nothing,
  addEventListener: nothing,
  XMLHttpRequest: class {
    open(_, name) { this.name = name; }
    send() {
      this.status = 200;
      this.response = new Uint8Array(shipped(this.name)).buffer;
      this.onload?.();
    }
  },
});

const port = { onmessage: null, postMessage: (reply) => fs.writeSync(1, reply) };

// Once it has prepared itself for requests, it gets them.
const Instance = WebAssembly.Instance;
WebAssembly.Instance = function (module, imports) {
  const made = new Instance(module, imports);
  const exports = { ...made.exports };
  exports.trace_processor_rpc_init = (...words) => {
    const answer = made.exports.trace_processor_rpc_init(...words);
    setImmediate(() => port.onmessage({ data: requests }));
    return answer;
  };
  return { exports };
};

own.on("uncaughtException", (error) => {
  fs.writeSync(2, String(error.stack).slice(-2000));
  own.exit(1);
});
vm.runInThisContext(fs.readFileSync(path.join(directory, "engine_bundle.js"), "utf8"));
globalThis.onmessage({ data: port });
