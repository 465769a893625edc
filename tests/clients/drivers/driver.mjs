// What the Node drivers share: the same lines in and out as driver.py.

import { createInterface } from 'node:readline';

export const PROMPT = 'What does a proof prove?';

/** The parts of an error that a caller can use. */
function described(error) {
  const last = error.lastError ?? error;
  return {
    type: error.name && error.name !== 'Error' ? error.name : error.constructor.name,
    status: last.status ?? last.statusCode ?? null,
    code: last.code ?? last.data?.error?.code ?? null,
    message: error.message,
  };
}

/** Answers requests until standard input ends; `handlers` has names like `stream.helper`. */
export async function serve(handlers) {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const seen = { pieces: [], more: {} };
    let error = null;
    try {
      await handlers[`${request.do}.${request.mode}`](request, seen);
    } catch (caught) {
      error = described(caught);
    }
    const answer = { text: seen.pieces.join(''), pieces: seen.pieces.length, error, ...seen.more };
    process.stdout.write(JSON.stringify(answer) + '\n');
  }
}
