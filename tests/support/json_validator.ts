/** A validator of the keywords of JSON Schema that structured output supports; written apart from the code that it judges. */

type Schema = Readonly<Record<string, unknown>>;

const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  date: (text) => isDate(text),
  time: (text) => isDate('2024-01-01') && !Number.isNaN(Date.parse(`2024-01-01T${text}`)),
  'date-time': (text) => isDate(text.slice(0, 10)) && !Number.isNaN(Date.parse(text)),
  uuid: (text) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text),
  ipv4: (text) =>
    text.split('.').length === 4 && text.split('.').every((part) => Number(part) < 256 && `${Number(part)}` === part),
  email: (text) => /^[^@\s]+@[^@\s]+\.[a-z]+$/i.test(text),
};

function isDate(text: string): boolean {
  const time = Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

function hasType(value: unknown, type: unknown): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** What is wrong with a value, as `place: reason`; empty when it is valid. */
export function validate(value: unknown, schema: unknown, root: unknown = schema, at = '#'): string[] {
  if (schema === true) return [];
  if (schema === false) return [`${at}: nothing is allowed`];
  const s = schema as Schema;
  const wrong: string[] = [];
  const check = (holds: boolean, reason: string): void => {
    if (!holds) wrong.push(`${at}: ${reason} (${JSON.stringify(value)?.slice(0, 80)})`);
  };
  if (typeof s['$ref'] === 'string') {
    const target = s['$ref']
      .split('/')
      .slice(1)
      .reduce<unknown>((place, part) => (place as Schema)[part.replaceAll('~1', '/').replaceAll('~0', '~')], root);
    wrong.push(...validate(value, target, root, at));
  }
  if ('const' in s) check(same(value, s['const']), 'const');
  if (Array.isArray(s['enum']))
    check(
      s['enum'].some((item) => same(item, value)),
      'enum',
    );
  const { type } = s;
  if (type !== undefined)
    check(
      (Array.isArray(type) ? type : [type]).some((each) => hasType(value, each)),
      `type ${JSON.stringify(type)}`,
    );
  const passing = (list: unknown): number =>
    (list as readonly unknown[]).filter((part) => validate(value, part, root, at).length === 0).length;
  if (s['anyOf']) check(passing(s['anyOf']) > 0, 'anyOf');
  if (s['oneOf']) check(passing(s['oneOf']) === 1, 'oneOf');
  if (s['allOf']) check(passing(s['allOf']) === (s['allOf'] as readonly unknown[]).length, 'allOf');
  const limit = (name: string, holds: (bound: number) => boolean): void => {
    if (typeof s[name] === 'number') check(holds(s[name]), name);
  };
  if (typeof value === 'number') {
    limit('minimum', (bound) => value >= bound);
    limit('maximum', (bound) => value <= bound);
    limit('exclusiveMinimum', (bound) => value > bound);
    limit('exclusiveMaximum', (bound) => value < bound);
  }
  if (typeof value === 'string') {
    limit('minLength', (bound) => Array.from(value).length >= bound);
    limit('maxLength', (bound) => Array.from(value).length <= bound);
    if (typeof s['pattern'] === 'string') check(new RegExp(s['pattern'], 'u').test(value), 'pattern');
    if (typeof s['format'] === 'string') check(FORMATS[s['format']](value), `format ${s['format']}`);
  }
  if (Array.isArray(value)) {
    limit('minItems', (bound) => value.length >= bound);
    limit('maxItems', (bound) => value.length <= bound);
    const first = (s['prefixItems'] as readonly unknown[] | undefined) ?? [];
    value.forEach((item, i) => {
      const own = i < first.length ? first[i] : (s['items'] ?? true);
      wrong.push(...validate(item, own, root, `${at}/${i}`));
    });
  }
  if (hasType(value, 'object')) {
    const object = value as Schema;
    const properties = (s['properties'] as Schema | undefined) ?? {};
    for (const name of (s['required'] as readonly string[] | undefined) ?? [])
      check(Object.hasOwn(object, name), `lacks ${name}`);
    for (const [name, item] of Object.entries(object)) {
      const own = Object.hasOwn(properties, name) ? properties[name] : (s['additionalProperties'] ?? true);
      wrong.push(...validate(item, own, root, `${at}/${name}`));
    }
  }
  return wrong;
}
