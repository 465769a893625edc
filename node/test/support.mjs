// What the tests share: vectors, servers, the simulated provider.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The cases of a vector set by id. */
export function vectors(name) {
  const { cases } = JSON.parse(readFileSync(join(ROOT, 'tests/vectors/venice', `${name}.json`), 'utf8'));
  return Object.fromEntries(cases.map((one) => [one.id, one]));
}

/** The body pieces of a stream case. */
export const pieces = (one) => one.chunks_b64.map((piece) => Buffer.from(piece, 'base64'));

/** The bytes of several pieces. */
export const joined = (one) => Buffer.concat(pieces(one));

/** A server that accepts connections and never answers, while `work` runs. */
export async function withStalledServer(work) {
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    server.emit('accepted');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await work(`http://127.0.0.1:${server.address().port}/api/v1`, server, sockets);
  } finally {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  }
}

/** The simulated provider: `target/debug/examples/serve`, built by `cargo xtask test-node`. */
export class Simulator {
  static get program() {
    return process.env.PROVEIL_TEST_SIMULATOR ?? join(ROOT, 'target/debug/examples/serve');
  }

  static async start(...args) {
    return Simulator.#startProgram(Simulator.program, args);
  }

  /** A simulated Privatemode: the program beside it. */
  static async startPrivatemode() {
    return Simulator.#startProgram(join(dirname(Simulator.program), 'serve_privatemode'), []);
  }

  static async #startProgram(program, args) {
    if (!existsSync(program)) {
      throw new Error(`${program} is missing: run \`cargo xtask test-node\``);
    }
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const simulator = new Simulator(child);
    Object.assign(simulator, await simulator.#answer());
    return simulator;
  }

  constructor(child) {
    this.child = child;
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  async command(text) {
    this.child.stdin.write(`${text}\n`);
    return this.#answer();
  }

  async #answer() {
    const { value, done } = await this.lines.next();
    if (done) {
      throw new Error('the simulator ended');
    }
    return JSON.parse(value);
  }

  async stop() {
    this.child.stdin.end();
    await once(this.child, 'exit');
  }
}
