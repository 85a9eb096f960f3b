/**
 * The first whole number in a JSON text that a JavaScript number can't hold (an id of a database, mostly), or undefined.
 * `JSON.parse` rounds it without a word.
 */
export function findInexactNumber(json: string): string | undefined {
  // Nearly every text ends here: only a whole number of 16 digits or more can be inexact.
  if (!/\d{16}/.test(json)) {
    return undefined;
  }
  // A string is matched as a whole, so that digits in it are passed over.
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g)) {
    if (/^-?\d{16,}$/.test(token) && BigInt(token) !== BigInt(Number(token))) {
      return token;
    }
  }
  return undefined;
}
