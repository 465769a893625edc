/// <reference lib="esnext.disposable" preserve="true" />
// The same objects for `import`: one instance of every class, whichever way the package is loaded.

export * from './index.js';
