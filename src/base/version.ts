/** The package's version, as its manifest says it. Threads of one store run the same one. */
export const VERSION = '0.1.0';
