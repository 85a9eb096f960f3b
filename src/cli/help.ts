import { type Command, type CommandGroup, sharedOptions } from './command.ts';
import { exitCodeHelp } from './exit-code.ts';
import { alignPairs, wrap } from './text.ts';

const WIDTH = 80;

export function overviewHelp(group: CommandGroup): string {
  const { prefix, title, commands, groups, firstSteps } = group;
  return [
    `varve${prefix === '' ? '' : ` ${prefix.trim()}`} — ${title}`,
    '',
    `Usage: varve ${prefix}<command> [arguments] [options]`,
    '',
    'Commands',
    ...alignPairs(
      [
        ...commands.map(({ name, summary }) => [name, summary] as const),
        ...groups.map(({ prefix: name, summary }) => [name.trim(), summary] as const),
      ],
      '  ',
    ),
    '',
    'Every command takes --json (output for machines) and --help (with examples).',
    'varve --version shows the version.',
    '',
    'Exit codes',
    ...alignPairs(
      exitCodeHelp.map(([code, meaning]) => [String(code).padStart(3), meaning]),
      '  ',
    ),
    '',
    'First steps',
    ...firstSteps.map((line) => `  $ ${line}`),
  ].join('\n');
}

export function commandHelp(command: Command): string {
  const lines = [
    `varve ${command.name} — ${command.summary}`,
    '',
    ...wrap(`Usage: varve ${command.name} ${command.usage} [options]`, WIDTH),
  ];
  for (const paragraph of command.details ?? []) {
    lines.push('', ...wrap(paragraph, WIDTH));
  }
  lines.push('', 'Options', ...optionLines(command), '', 'Examples');
  lines.push(
    ...command.examples.map((example) =>
      example.startsWith(' ') ? `  ${example}` : `  $ ${example}`,
    ),
  );
  lines.push('', 'Exit codes: varve --help');
  return lines.join('\n');
}

function optionLines(command: Command): string[] {
  const options = Object.entries({ ...command.options, ...sharedOptions });
  const names = options.map(([name, { value }]) =>
    value === undefined ? `--${name}` : `--${name} <${value}>`,
  );
  const indent = Math.max(...names.map((name) => name.length)) + 4;
  return options.flatMap(([, { help, multiple }], index) => {
    const text = multiple === true ? `${help}; may be repeated` : help;
    const [first, ...rest] = wrap(text, WIDTH - indent);
    return [
      `  ${names[index]!.padEnd(indent - 2)}${first}`,
      ...rest.map((line) => ' '.repeat(indent) + line),
    ];
  });
}
