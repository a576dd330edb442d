// One text for one rule: what was written and what iptables-save shows of it differ in the order of
// options, in quotes, in `-m` words that only load an extension, and in what the kernel rounds.

const TOKEN = /"((?:[^"\\]|\\.)*)"|(\S+)/g;

/** A rule's words without quotes. */
export function wordsOf(rule: string): readonly string[] {
  return [...rule.matchAll(TOKEN)].map(([, quoted, plain]) =>
    quoted === undefined ? plain! : quoted.replace(/\\(.)/g, '$1'),
  );
}

/** What the save command shows though nobody wrote it, because it is the default. */
const SHOWN_DEFAULTS: readonly RegExp[] = [
  /^--rsource$/,
  /^--mask (255\.255\.255\.255|ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff)$/,
  /^--reject-with icmp6?-port-unreachable$/,
];
const LONG: Readonly<Record<string, string>> = {
  '--jump': '-j',
  '--goto': '-g',
  '--protocol': '-p',
  '--source': '-s',
  '--destination': '-d',
};

/** The rule in the text that all its spellings share. */
export function canonicalRule(rule: string): string {
  const groups: string[] = [];
  let group: string[] = [];
  let negated = false;
  const end = (): void => {
    const text = group.length > 0 ? canonicalOption(group) : undefined;
    if (text !== undefined) groups.push(text);
    group = [];
  };
  for (const word of wordsOf(rule)) {
    if (word === '!' || (/^--?[a-zA-Z]/.test(word) && group[0] !== '--comment')) {
      end();
      if (word === '!') negated = true;
      else group = [`${negated ? '! ' : ''}${LONG[word] ?? word}`];
      if (word !== '!') negated = false;
    } else group.push(word);
    // A comment is one word, whatever it begins with.
    if (group.length === 2 && group[0] === '--comment') end();
  }
  end();
  return groups.sort().join(' ');
}

function canonicalOption([name = '', ...values]: readonly string[]): string | undefined {
  if (name === '-m') return undefined;
  const value = values.join(' ');
  const text = value === '' ? name : `${name} ${canonicalValue(name, value)}`;
  if (name === '--or-mark') return `--set-xmark ${hex(value)}/${hex(value)}`;
  if (name === '--xor-mark') return `--set-xmark ${hex(value)}/0x0`;
  return SHOWN_DEFAULTS.some((shown) => shown.test(text)) ? undefined : text;
}

const hex = (value: string): string => `0x${Number(value).toString(16)}`;

/** xt_statistic compares 31 bits of a random number (net/netfilter/xt_statistic.c). */
const PROBABILITY_STEPS = 2 ** 31;

function canonicalValue(name: string, value: string): string {
  if (name === '--probability') return String(Math.round(Number(value) * PROBABILITY_STEPS));
  if (!/^(! )?-[sd]$/.test(name) || value.includes('/')) return value;
  return `${value}/${value.includes(':') ? 128 : 32}`;
}
