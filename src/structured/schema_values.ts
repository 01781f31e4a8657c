type Schema = Readonly<Record<string, unknown>>;

/** The types of JSON Schema that a value is of. */
export function typeOf(value: unknown): readonly string[] {
  if (value === null) return ['null'];
  if (Array.isArray(value)) return ['array'];
  if (typeof value === 'number') return Number.isInteger(value) ? ['integer', 'number'] : ['number'];
  return [typeof value];
}

/** Whether it is plain to see that no value fits two of the schemas: other types, other constants, or objects that differ in a required constant. */
export function areDisjoint(schemas: readonly unknown[], find: (ref: string) => unknown): boolean {
  const read = schemas.map((schema) => resolve(schema, find));
  return read.every((a, i) => read.slice(i + 1).every((b) => differ(a, b, find)));
}

function resolve(schema: unknown, find: (ref: string) => unknown): Schema {
  let found = schema;
  // A chain of references that is longer than this is a circle, which reading the schema refuses.
  for (let i = 0; i < 16 && isObject(found) && typeof found['$ref'] === 'string'; i++) found = find(found['$ref']);
  return isObject(found) ? found : {};
}

function differ(a: Schema, b: Schema, find: (ref: string) => unknown): boolean {
  const [valuesA, valuesB] = [constants(a), constants(b)];
  if (valuesA && valuesB) {
    const texts = new Set(valuesA.map((value) => JSON.stringify(value)));
    return valuesB.every((value) => !texts.has(JSON.stringify(value)));
  }
  const [typesA, typesB] = [types(a, valuesA), types(b, valuesB)];
  if (typesA && typesB && typesA.every((type) => !typesB.some((other) => overlap(type, other)))) return true;
  const [propertiesA, propertiesB] = [properties(a), properties(b)];
  return [...propertiesA.keys()].some((name) => {
    if (!propertiesB.has(name) || !isRequired(a, name) || !isRequired(b, name)) return false;
    const [x, y] = [resolve(propertiesA.get(name), find), resolve(propertiesB.get(name), find)];
    return constants(x) !== undefined && constants(y) !== undefined && differ(x, y, find);
  });
}

function constants(schema: Schema): readonly unknown[] | undefined {
  if ('const' in schema) return [schema['const']];
  const listed = schema['enum'];
  return Array.isArray(listed) ? listed : undefined;
}

function types(schema: Schema, values: readonly unknown[] | undefined): readonly unknown[] | undefined {
  if (values) return values.flatMap(typeOf);
  const { type } = schema;
  return type === undefined ? undefined : Array.isArray(type) ? type : [type];
}

function overlap(a: unknown, b: unknown): boolean {
  return a === b || (isNumber(a) && isNumber(b));
}

function isNumber(type: unknown): boolean {
  return type === 'integer' || type === 'number';
}

function properties(schema: Schema): ReadonlyMap<string, unknown> {
  const listed = schema['properties'];
  return new Map(schema['type'] === 'object' && isObject(listed) ? Object.entries(listed) : []);
}

function isRequired(schema: Schema, name: string): boolean {
  const names = schema['required'];
  return Array.isArray(names) && names.includes(name);
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
