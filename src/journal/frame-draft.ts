/**
 * Where a frame in the lane says what only its maker knows, in the place of the header that the writer will make: body size, count, and of a
 * frame that opens a segment the segment's salt (16 bytes).
 */
export const FrameDraft = { bodySizeAt: 8, countAt: 12, saltAt: 16 } as const;
