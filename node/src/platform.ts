// Finds the native part for this machine. Owns the names of the platform packages and the message for a missing one.

import { join } from 'node:path';

/** What decides which binary fits. */
export interface Platform {
  readonly os: string;
  readonly cpu: string;
  /** C library on Linux. */
  readonly libc?: 'gnu' | 'musl';
}

/** The platforms that packages are made for. */
export const PLATFORMS: readonly string[] = [
  'linux-x64-gnu',
  'linux-x64-musl',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
  'win32-x64',
  'win32-arm64',
];

/** This machine. */
export function thisPlatform(): Platform {
  const { platform: os, arch: cpu } = process;
  return os === 'linux' ? { os, cpu, libc: usesGlibc() ? 'gnu' : 'musl' } : { os, cpu };
}

/** `linux-x64-gnu`, `darwin-arm64`, ... */
export function platformName({ os, cpu, libc }: Platform): string {
  return [os, cpu, libc].filter((part) => part !== undefined).join('-');
}

/** What a loader tries, in order: a binary beside the package's files (a build from source), then the platform package. */
export function candidates(platform: Platform, root: string): readonly string[] {
  const name = platformName(platform);
  return [join(root, `proveil.${name}.node`), `@proveil/${name}`];
}

/** Says what is missing and what to do, in place of a bare "Cannot find module". */
export function missingBinary(platform: Platform, causes: readonly unknown[]): string {
  const name = platformName(platform);
  const libc = platform.libc === undefined ? '' : ` with ${platform.libc === 'gnu' ? 'glibc' : 'musl'}`;
  const parts = [`The native part of proveil for ${platform.os} on ${platform.cpu}${libc} cannot be loaded.`];
  if (!PLATFORMS.includes(name)) {
    parts.push(`There is no package for this platform; there are ${PLATFORMS.join(', ')}.`);
  } else {
    parts.push(
      `The package \`@proveil/${name}\` is expected.`,
      'npm sometimes leaves optional dependencies out when a lock file was made on another platform:',
      'delete `node_modules` and `package-lock.json` and install again, without `--omit=optional`.',
    );
  }
  const reasons = causes.map((cause) => (cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause)));
  return `${parts.join(' ')} (${reasons.join('; ')})`;
}

function usesGlibc(): boolean {
  const { report } = process;
  // Without this the report looks up the names of open connections, which can take seconds.
  const excludes = report as unknown as { excludeNetwork?: boolean };
  const before = excludes.excludeNetwork;
  excludes.excludeNetwork = true;
  try {
    const { header } = report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
    return header.glibcVersionRuntime !== undefined;
  } finally {
    excludes.excludeNetwork = before ?? false;
  }
}
