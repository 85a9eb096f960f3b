import { describe, expect, it } from 'vitest';
import { type Command, parseCommandLine } from './command.ts';

const command: Command = {
  name: 'paint',
  summary: 'paint something',
  usage: '<what>',
  positionals: { min: 1, max: 1 },
  options: {
    color: { value: 'name', help: 'The color' },
    tag: { value: 'name', multiple: true, help: 'A tag' },
    twice: { help: 'Two coats' },
  },
  examples: [],
  run: () => expect.unreachable(),
};

describe('parseCommandLine', () => {
  it('refuses an option with two values, of which only one would count', () => {
    expect(() => parseCommandLine(command, ['door', '--color', 'red', '--color=red'])).toThrow(
      'The option --color is given twice.',
    );
  });

  it('takes options with many values, and switches, more than once', () => {
    const args = ['door', '--tag', 'a', '--twice', '--tag', 'b', '--twice'];
    const { options } = parseCommandLine(command, args);
    expect(options.texts('tag')).toEqual(['a', 'b']);
    expect(options.isOn('twice')).toBe(true);
  });
});
