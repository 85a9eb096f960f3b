/** Names in a journal's folder, next to the segments' own. */

/** The next segment, while it is prepared. */
export const SPARE_NAME = 'spare';
/** What is known durable. */
export const TAIL_NAME = 'tail';
