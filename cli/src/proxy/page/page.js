'use strict';
fetch('/status.json').then((answer) => answer.json()).then((status) => {
  for (const endpoint of status.endpoints) {
    const item = document.createElement('li');
    item.textContent = endpoint.line;
    document.getElementById('endpoints').append(item);
  }
});
