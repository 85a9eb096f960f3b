/**
 * The first whole number in a JSON text that would change by going through a JavaScript number (an id of a database,
 * mostly), or undefined. `JSON.parse` rounds it without a word.
 */
export function findInexactNumber(json: string): string | undefined {
  // Nearly every text ends here: only a whole number of 16 digits or more can be inexact.
  if (!/\d{16}/.test(json)) {
    return undefined;
  }
  // A string is matched as a whole, so that digits in it are passed over.
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)) {
    if (/^-?\d{16,}$/.test(token) && !survives(token)) {
      return token;
    }
  }
  return undefined;
}

function survives(token: string): boolean {
  const value = Number(token);
  // Written again as it was, or another way to write the same number.
  return String(value) === token || (Number.isFinite(value) && BigInt(value) === BigInt(token));
}
