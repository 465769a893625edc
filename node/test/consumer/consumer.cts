// The same package through `require`.

import proveil = require('proveil');

export const client: proveil.Client = new proveil.Client({ apiKey: 'k' });
export const models: Promise<proveil.Model[]> = client.models();
