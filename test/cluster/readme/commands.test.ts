import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandsIn, shownCommands, TREATMENTS, treatmentOf } from './commands.ts';

test('commands of blocks: after a prompt, or all that look like one', () => {
  const text = [
    'words `make x`',
    '```',
    '$ calico-kit a   # what it does',
    'what it prints',
    '```',
    '```yaml',
    'make: 1',
    '```',
    '```',
    'make up      # more',
    'other',
    '```',
    '    helm test calico',
    '    not a command',
  ];
  assert.deepEqual(commandsIn(text.join('\n')), ['calico-kit a', 'make up', 'helm test calico']);
});

test('every command that is shown is run, or it is said what else proves it', () => {
  const commands = shownCommands();
  assert.ok(commands.length > 50, String(commands.length));
  assert.deepEqual(
    commands.filter((command) => !treatmentOf(command)),
    [],
  );
  const unused = TREATMENTS.filter(([pattern]) => !commands.some((one) => pattern.test(one)));
  assert.deepEqual(unused, []);
});
