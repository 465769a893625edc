// The page of the local proxy: shows what is proven and what is not, and chats over the proxy's own API.
//
// Every text of a provider, a model or an answer is inserted as text, never as markup (threats T55). A client token lives in a
// variable of this page and nowhere else. Whatever cannot be shown to hold now is not drawn as proven.
'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const WORDS = { verified: 'Verified', refused: 'Refused', indeterminate: 'Could not check' };
  const SIGNS = { verified: 'tick', refused: 'cross', indeterminate: 'question' };
  const STANDINGS = { proven: 'proven', asserted: 'asserted by the provider', unknown: 'unknown' };
  const CUSTOM = 'CUSTOM roots: signatures are compared with roots that were given to this proxy, not with the hardware vendors’.';
  const LOOK_MS = 15000;
  const LOOK_AGAIN_MS = 2500;

  /** What the proxy said last. */
  const seen = { status: null, trouble: null, models: [], reports: new Map(), drawn: '' };
  /** The conversation: complete exchanges only, and the one under way. */
  const chat = { token: '', denied: false, model: '', messages: [], running: null };

  // ---- Elements
  function make(tag, name, text) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  /** A text that somebody else chose, kept apart from the direction of what stands around it. */
  function foreign(tag, text, name) {
    const element = make(tag, `foreign${name ? ` ${name}` : ''}`, shown(text));
    element.dir = 'auto';
    return element;
  }

  /** Without what could hide or reorder other text. */
  function shown(text) {
    return String(text ?? '').replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, '\ufffd');
  }

  function sign(name) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('class', 'sign');
    svg.setAttribute('aria-hidden', 'true');
    const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
    use.setAttribute('href', `#sign-${name}`);
    svg.append(use);
    return svg;
  }

  function marked(tag, name, symbol, text) {
    const element = make(tag, name);
    element.append(sign(symbol), make('span', '', text));
    return element;
  }

  /** A verdict in words: whose roots it rests on is never left out. */
  function words(state, level, custom) {
    if (state !== 'verified') return WORDS[state];
    return `${WORDS.verified}${custom ? ' against CUSTOM roots' : ''}${level ? `, ${level}` : ''}`;
  }

  const list = (value) => (Array.isArray(value) ? value : []);
  const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;
  const unproven = (report) => count(list(report?.not_proven).length, 'thing', 'things') + ' not proven';

  // ---- The proxy
  /** Why there is no answer: what happened, why, and what to do next. */
  class Problem extends Error {
    constructor(what, { why = '', next = '', code = '', kind = '', report = '', status = 0 } = {}) {
      super(what);
      Object.assign(this, { why, next, code, kind, report, status });
    }

    static of(error, more = {}) {
      const code = typeof error?.code === 'string' ? error.code : '';
      const message = String(error?.message ?? 'The proxy gave no reason.');
      const details = error?.details ?? {};
      const why = [details.check, details.expected && `expected ${details.expected}`, details.found && `found ${details.found}`];
      const what = code ? message.split(` [${code}]`)[0] : message;
      return new Problem(what, { why: why.filter(Boolean).join(', '), next: error?.hint ?? '', code, kind: error?.type ?? '', ...more });
    }

    get verdict() {
      if (this.kind === 'verification_error') return 'refused';
      return this.kind === 'verification_unavailable' ? 'indeterminate' : '';
    }
  }

  /** A place of a report, or nothing. */
  const place = (text) => (/^\/report\/[0-9a-f]{1,64}$/.test(text ?? '') ? text : '');

  async function ask(path, options = {}) {
    const headers = new Headers(options.headers);
    if (chat.token) headers.set('authorization', `Bearer ${chat.token}`);
    let answer;
    try {
      answer = await fetch(path, { ...options, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Problem('The proxy cannot be reached.', { next: 'See whether it still runs; this page goes on by itself when it does.' });
    }
    if (answer.ok) return answer;
    const document = await answer.json().catch(() => ({}));
    const more = { report: place(answer.headers.get('x-proveil-report')), status: answer.status };
    throw Problem.of(document.error, more);
  }

  async function reportOf(path) {
    if (!path) return null;
    if (!seen.reports.has(path)) {
      const report = await (await ask(`${path}.json`)).json().catch(() => null);
      seen.reports.set(path, report);
      // A refused endpoint is asked again and again, with a report each time.
      if (seen.reports.size > 64) seen.reports.delete(seen.reports.keys().next().value);
      return report;
    }
    return seen.reports.get(path);
  }

  let timer = 0;

  async function look() {
    clearTimeout(timer);
    let wait = LOOK_AGAIN_MS;
    try {
      const status = await (await ask('/status.json')).json();
      const endpoints = list(status.endpoints);
      const reports = await Promise.allSettled(endpoints.map((endpoint) => reportOf(place(endpoint.report))));
      endpoints.forEach((endpoint, index) => { endpoint.document = reports[index].value ?? null; });
      Object.assign(seen, { status: { endpoints }, trouble: null });
      const news = seen.models.length === 0 || endpoints.some((endpoint) => endpoint.outcome === 'verified' && !offered(endpoint));
      if (news) await loadModels().catch(noteTrouble);
      if (endpoints.length > 0 && endpoints.every((endpoint) => endpoint.outcome === 'verified')) wait = LOOK_MS;
      // Where callers bring their own keys, the state is there without one and the models are not.
      byId('access').hidden = !chat.denied && seen.trouble?.status !== 401;
    } catch (error) {
      noteTrouble(error);
    }
    draw();
    // Without a token there is nothing to ask again.
    if (seen.trouble?.status !== 401) timer = setTimeout(look, wait);
  }

  function noteTrouble(error) {
    seen.trouble = error instanceof Problem ? error : new Problem('The proxy gave an answer that this page cannot read.');
    if (error.status === 401) askForToken(error);
  }

  function askForToken(problem) {
    const first = byId('access').hidden;
    byId('access').hidden = false;
    byId('access-why').textContent = chat.token ? `${problem.message} The token that was given is not one of them.` : problem.message;
    chat.token = '';
    chat.denied = true;
    if (first) byId('token').focus();
  }

  async function loadModels() {
    const document = await (await ask('/v1/models')).json();
    const chats = (model) => !Array.isArray(model.tasks) || model.tasks.some((task) => task === 'generate' || task === 'chat');
    const models = list(document.data).filter((model) => typeof model?.id === 'string' && chats(model));
    // A list that somebody has open stays as it is.
    if (JSON.stringify(models) === JSON.stringify(seen.models)) return;
    seen.models = models;
    drawModels();
  }

  // ---- Endpoints
  const named = (endpoint) => `${endpoint.provider}/${endpoint.model}`;
  const offered = (endpoint) => seen.models.some((model) => model.id === named(endpoint) || model.id === endpoint.model);

  /** A proof holds until it ends, whatever was said when it was made; and nothing is known of a proxy that does not answer. */
  function outcomeOf(endpoint) {
    if (seen.trouble || !Object.hasOwn(WORDS, endpoint.outcome)) return 'indeterminate';
    const ended = endpoint.outcome === 'verified' && !(Date.now() < endpoint.not_after * 1000);
    return ended ? 'indeterminate' : endpoint.outcome;
  }

  const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' });

  function untilOf(endpoint) {
    const end = endpoint.not_after * 1000;
    const minutes = Math.floor((end - Date.now()) / 60000);
    const left = minutes < 1 ? 'less than a minute left' : `${count(minutes, 'minute', 'minutes')} left`;
    return end > Date.now() ? `Valid until ${clock.format(end)} (${left}), renewed before that` : `The proof ended at ${clock.format(end)}`;
  }

  function draw() {
    const endpoints = seen.status?.endpoints ?? [];
    const states = endpoints.map(outcomeOf);
    const wanted = JSON.stringify([seen.trouble?.message, endpoints, states]);
    byId('elsewhere').hidden = Boolean(chat.token) || seen.trouble?.status === 401;
    byId('endpoints').setAttribute('aria-busy', String(endpoints.length === 0 && !seen.trouble));
    if (wanted !== seen.drawn) {
      seen.drawn = wanted;
      const focused = document.activeElement?.closest?.('.endpoint')?.dataset.key;
      const items = endpoints.map((endpoint, index) => card(endpoint, states[index]));
      byId('endpoints').replaceChildren(...(items.length ? items : [nothingYet()]));
      items.find((item) => item.dataset.key === focused)?.querySelector('a')?.focus();
      drawState(endpoints, states);
    }
    endpoints.forEach((endpoint, index) => {
      const until = byId('endpoints').children[index]?.querySelector('.until');
      if (until && until.textContent !== untilOf(endpoint)) until.textContent = untilOf(endpoint);
    });
    drawModelNote();
  }

  function drawState(endpoints, states) {
    const proven = states.filter((state) => state === 'verified').length;
    const text = endpoints.length ? `${proven} of ${count(endpoints.length, 'endpoint', 'endpoints')} verified now` : 'No endpoint is verified yet';
    byId('state').textContent = seen.trouble ? seen.trouble.message : text;
  }

  function nothingYet() {
    const item = make('li', 'endpoint indeterminate');
    const open = 'Nothing is known of any endpoint yet.';
    const looking = 'No endpoint was verified yet. The proxy looks for proofs now, or when the first message is sent.';
    item.append(make('p', '', seen.trouble ? open : looking));
    return item;
  }

  function card(endpoint, state) {
    const report = endpoint.document;
    const item = make('li', `endpoint ${state}`);
    item.dataset.key = named(endpoint);
    item.append(claims(state, report), subject(endpoint), foreign('p', lineOf(endpoint, state), 'line'));
    if (endpoint.outcome === 'verified') item.append(make('p', 'until', untilOf(endpoint)));
    if (state !== 'verified') item.append(reasons(endpoint, state, report));
    if (report?.roots === 'custom') item.append(make('p', 'notice', CUSTOM));
    const relaxed = list(report?.policy?.relaxations);
    if (relaxed.length) item.append(foreign('p', `The policy accepts more than usual: ${relaxed.join('; ')}`, 'notice'));
    if (report && endpoint.outcome === 'verified') item.append(parts(report));
    const path = place(endpoint.report);
    if (path) item.append(links(path, `Full report for ${named(endpoint)}`));
    return item;
  }

  function lineOf(endpoint, state) {
    if (state === endpoint.outcome) return endpoint.line;
    return seen.trouble ? 'What was known of it may no longer hold: the proxy does not answer.' : 'Its proof ended and is not renewed yet.';
  }

  /** What is proven and what is not, in letters of one size. */
  function claims(state, report) {
    const element = make('h2', 'claims');
    element.append(marked('span', 'word', SIGNS[state], words(state, report?.level, report?.roots === 'custom')));
    if (state === 'verified') element.append(marked('span', 'unproven', 'open', report ? unproven(report) : 'what is not proven: unknown'));
    return element;
  }

  function subject(endpoint) {
    const element = make('p', 'subject');
    element.append(foreign('strong', endpoint.provider), foreign('code', endpoint.model));
    return element;
  }

  function parts(report) {
    const element = make('div', 'parts');
    const readers = make('ul');
    for (const hop of list(report.who_can_read)) {
      const standing = Object.hasOwn(STANDINGS, hop.standing) ? hop.standing : 'unknown';
      const item = make('li', standing);
      const text = make('div');
      text.append(foreign('span', hop.name), ' ', make('span', 'tag', STANDINGS[standing]), foreign('span', hop.note, 'remark'));
      item.append(sign({ proven: 'tick', asserted: 'quote', unknown: 'question' }[standing]), text);
      readers.append(item);
    }
    const open = make('ul');
    for (const text of list(report.not_proven)) {
      const item = make('li');
      item.append(sign('open'), foreign('span', text));
      open.append(item);
    }
    const part = (title, items) => {
      const section = make('div');
      section.append(make('h4', '', title), items);
      return section;
    };
    element.append(part('Who can read your prompt', readers), part('Not proven', open));
    return element;
  }

  /** Why an endpoint is not verified. */
  function reasons(endpoint, state, report) {
    const failed = list(report?.checks).filter((check) => check.outcome === 'fail' && check.enforcement === 'enforced');
    const why = failed.map((check) => [check.title, check.expected && `expected ${check.expected}`, check.found && `found ${check.found}`]);
    return whyBox(state === 'refused' ? 'Nothing is sent to it' : 'Nothing is sent until it is verified', {
      code: state === endpoint.outcome ? endpoint.code : '',
      why: why.map((parts) => parts.filter(Boolean).join(', ')).join('; '),
      next: seen.trouble?.next || endpoint.hint || 'The proxy tries again by itself.',
      open: state !== 'refused',
    });
  }

  function whyBox(title, { what, why, next, code, open, symbol }) {
    const box = make('div', open ? 'why open' : 'why');
    box.append(marked('h3', '', symbol ?? (open ? 'question' : 'cross'), title));
    const rows = make('dl');
    const row = (name, text) => {
      if (!text) return;
      const pair = make('div');
      pair.append(make('dt', '', name), foreign('dd', text));
      rows.append(pair);
    };
    row('What', what);
    row('Why', why);
    row('Next', next);
    row('Code', code && `${code} (proveil explain ${code})`);
    box.append(rows);
    return box;
  }

  /** A report opens as a page; a page cannot show a token, so with one the report is saved instead. */
  function links(path, label) {
    const element = make('p', 'links');
    const link = Object.assign(make('a', '', 'Full report'), { href: path, target: '_blank', rel: 'noopener' });
    link.setAttribute('aria-label', label);
    link.addEventListener('click', (event) => {
      if (!chat.token) return;
      event.preventDefault();
      save(path).catch((error) => { byId('told').textContent = error.message; });
    });
    element.append(link);
    return element;
  }

  async function save(path) {
    const href = URL.createObjectURL(await (await ask(path)).blob());
    Object.assign(make('a'), { href, download: `proveil-report-${path.split('/').pop()}.html` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10000);
  }

  // ---- Models
  function drawModels() {
    const select = byId('model');
    const groups = new Map();
    for (const model of seen.models) {
      const owner = shown(model.owned_by ?? '');
      if (!groups.has(owner)) {
        const group = make('optgroup');
        group.label = owner === 'proveil' ? 'Aliases' : owner;
        groups.set(owner, group);
      }
      const option = make('option', '', shown(model.id));
      option.value = model.id;
      groups.get(owner).append(option);
    }
    const proven = (seen.status?.endpoints ?? []).find((endpoint) => outcomeOf(endpoint) === 'verified' && offered(endpoint));
    const first = seen.models.find((model) => proven && (model.id === named(proven) || model.id === proven.model)) ?? seen.models[0];
    select.replaceChildren(...groups.values());
    select.disabled = seen.models.length === 0;
    if (!seen.models.some((model) => model.id === chat.model)) chat.model = first?.id ?? '';
    select.value = chat.model;
  }

  function drawModelNote() {
    const note = byId('model-note');
    const known = (seen.status?.endpoints ?? []).find((endpoint) => named(endpoint) === chat.model || endpoint.model === chat.model);
    const state = known ? outcomeOf(known) : '';
    let text = chat.model ? 'It is verified when you send; if that fails, nothing is sent.' : 'The list of models comes from the endpoints.';
    if (state) {
      const report = known.document;
      text = `${words(state, report?.level, report?.roots === 'custom')}. ${state === 'verified' ? `${unproven(report)}; see the endpoint.` : 'Nothing is sent until it is verified.'}`;
    }
    if (note.textContent === text && note.className === `note ${state}`) return;
    note.className = `note ${state}`;
    note.replaceChildren(...(state ? [sign(SIGNS[state])] : []), make('span', '', text));
  }

  // ---- Chat
  function follow(change) {
    const talk = byId('talk');
    const atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
    change();
    if (atEnd) talk.scrollTop = talk.scrollHeight;
  }

  function startOver(text) {
    chat.messages = [];
    if (byId('talk').querySelector('.answer')) follow(() => byId('talk').append(make('p', 'turn', text)));
  }

  /** The place of one answer on the page. */
  function answerPlace(model, question) {
    const talk = byId('talk');
    const said = make('p', 'said', question);
    said.dir = 'auto';
    const answer = make('article', 'answer writing');
    answer.setAttribute('aria-busy', 'true');
    const from = make('p', 'from');
    from.append('Answer of ', foreign('span', model));
    const text = make('div', 'text');
    text.dir = 'auto';
    text.setAttribute('aria-live', 'polite');
    text.setAttribute('aria-atomic', 'true');
    text.setAttribute('aria-busy', 'true');
    const thoughts = make('details');
    thoughts.append(make('summary', '', 'Thoughts before the answer'), make('p'));
    thoughts.hidden = true;
    const seal = make('div', 'seal');
    const end = make('span', 'end', 'Verifying and encrypting');
    seal.append(end);
    answer.append(from, thoughts, text, seal);
    byId('talk-empty')?.remove();
    talk.append(said, answer);
    talk.scrollTop = talk.scrollHeight;
    return { answer, text, thoughts, seal, end, content: '' };
  }

  async function showVerdict(view, headers) {
    const said = (headers.get('x-proveil-verdict') ?? '').split(' ');
    const state = Object.hasOwn(WORDS, said[0]) ? said[0] : 'indeterminate';
    const path = place(headers.get('x-proveil-report'));
    const level = /^L\d$/.test(said[1]) ? said[1] : '';
    view.seal.classList.add(state);
    view.seal.prepend(marked('span', 'word', SIGNS[state], words(state, level, said.includes('CUSTOM'))));
    view.end.textContent = 'Answering';
    if (!path) return;
    const link = links(path, `Full report on which the answer of ${chat.model} relies`).firstChild;
    view.seal.append(link);
    const report = await reportOf(path).catch(() => null);
    if (report) view.seal.children[0].after(marked('span', 'unproven', 'open', unproven(report)));
  }

  function append(view, content, thought) {
    follow(() => {
      if (thought) {
        view.thoughts.hidden = false;
        view.thoughts.lastChild.append(thought);
      }
      if (content) {
        view.content += content;
        view.text.append(content);
      }
    });
  }

  /** Reads the events of a stream to its end mark. What ends without one is incomplete. */
  async function read(body, view) {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let rest = '';
    let data = [];
    let finish = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop();
      let content = '';
      let thought = '';
      for (const line of lines.map((text) => text.replace(/\r$/, ''))) {
        if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
        if (line !== '' || data.length === 0) continue;
        const text = data.join('\n');
        data = [];
        if (text === '[DONE]') {
          append(view, content, thought);
          return finish;
        }
        const event = JSON.parse(text);
        if (event.error) {
          append(view, content, thought);
          throw Problem.of(event.error);
        }
        const choice = list(event.choices)[0];
        if (typeof choice?.delta?.content === 'string') content += choice.delta.content;
        const reasoning = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning;
        if (typeof reasoning === 'string') thought += reasoning;
        finish = choice?.finish_reason ?? finish;
      }
      append(view, content, thought);
    }
    throw new Problem('The answer stopped before its end.', { why: 'the stream has no end mark', next: 'Ask again; do not rely on the text so far.' });
  }

  function busy(running) {
    chat.running = running;
    const stops = byId('stop') === document.activeElement;
    byId('stop').hidden = !running;
    byId('send').hidden = Boolean(running);
    byId('model').disabled = Boolean(running) || seen.models.length === 0;
    byId('fresh').hidden = Boolean(running) || !byId('talk').querySelector('.answer');
    if (stops || document.activeElement === document.body) byId('prompt').focus();
  }

  async function send(question) {
    const model = chat.model;
    const messages = [...chat.messages, { role: 'user', content: question }];
    const running = new AbortController();
    const view = answerPlace(model, question);
    busy(running);
    let begun = false;
    try {
      const answer = await ask('/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, messages, stream: true }),
        signal: running.signal,
      });
      begun = true;
      const verdict = showVerdict(view, answer.headers);
      const finish = await read(answer.body, view);
      await verdict;
      chat.messages = [...messages, { role: 'assistant', content: view.content }];
      ended(view, finish === 'length' ? 'Complete up to the length limit' : 'Complete');
    } catch (error) {
      if (begun) cut(view, error, running.signal.aborted);
      else refused(view, error, running.signal.aborted, question);
    } finally {
      view.answer.classList.remove('writing');
      view.answer.removeAttribute('aria-busy');
      view.text.removeAttribute('aria-busy');
      busy(null);
    }
  }

  function ended(view, word) {
    view.end.textContent = word;
    byId('told').textContent = [...view.seal.children].filter((part) => part.tagName === 'SPAN').map((part) => part.textContent).join('. ');
  }

  /** An answer of which only a part came. */
  function cut(view, error, stopped) {
    view.answer.classList.add('cut');
    const why = error instanceof Problem ? error : new Problem('The connection to the proxy broke.', { next: 'Ask again; do not rely on the text so far.' });
    const box = stopped
      ? whyBox('Incomplete: stopped', { what: 'You stopped the answer. It is not part of the conversation.', open: true, symbol: 'cut' })
      : whyBox('Incomplete answer', { what: why.message, why: why.why, next: why.next, code: why.code, open: true, symbol: 'cut' });
    follow(() => view.seal.before(box));
    ended(view, stopped ? 'Incomplete: stopped' : 'Incomplete');
  }

  /** No answer at all. */
  function refused(view, error, stopped, question) {
    const why = error instanceof Problem ? error : new Problem('The request could not be made.');
    if (why.status === 401) askForToken(why);
    const state = stopped ? '' : why.verdict;
    const titles = { refused: 'Refused: nothing was sent', indeterminate: 'Could not check: nothing was sent', '': stopped ? 'Stopped' : 'No answer' };
    const parts = stopped ? { what: 'You stopped it before an answer began.' } : { what: why.message, why: why.why, next: why.next, code: why.code };
    follow(() => {
      const box = whyBox(titles[state], { ...parts, open: state !== 'refused', symbol: stopped ? 'cut' : undefined });
      if (why.report) box.append(links(why.report, 'Full report of the refusal'));
      view.seal.replaceWith(box);
    });
    byId('told').textContent = `${titles[state]}. ${parts.what}`;
    if (byId('prompt').value === '') byId('prompt').value = question;
  }

  // ---- What a person does
  byId('ask').addEventListener('submit', (event) => {
    event.preventDefault();
    const prompt = byId('prompt');
    const question = prompt.value.trim();
    if (!question || !chat.model || chat.running) return;
    prompt.value = '';
    prompt.focus();
    send(question);
  });

  byId('prompt').addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      byId('ask').requestSubmit();
    }
  });

  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') chat.running?.abort();
  });

  byId('stop').addEventListener('click', () => chat.running?.abort());

  byId('fresh').addEventListener('click', () => {
    startOver('New conversation: nothing above is sent again.');
    byId('prompt').focus();
  });

  byId('model').addEventListener('change', () => {
    chat.model = byId('model').value;
    startOver('Another model: nothing above is sent to it.');
    drawModelNote();
  });

  byId('access-form').addEventListener('submit', (event) => {
    event.preventDefault();
    const token = byId('token').value.trim();
    byId('token').value = '';
    if (!/^[\x21-\x7e]+$/.test(token)) {
      byId('access-why').textContent = 'A token has visible ASCII characters only.';
      return;
    }
    chat.token = token;
    chat.denied = false;
    look();
  });

  setInterval(draw, 5000);
  document.addEventListener('visibilitychange', () => { if (!document.hidden && seen.trouble?.status !== 401) look(); });
  look();
})();
