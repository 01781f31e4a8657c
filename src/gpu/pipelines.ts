import { KernelError } from '../errors';
import { messageOf } from '../errors/message_of';
import { compileError } from './compile_error';
import type { KernelSource } from './kernel';
import { type LinkedShader, linkShader } from './linker';
import { shaderSources } from './shader_sources';

/** How a kernel uses a buffer: read-only storage, read-write storage, or uniform. */
export type BindingAccess = 'read' | 'write' | 'uniform';

const BUFFER_TYPES: Readonly<Record<BindingAccess, GPUBufferBindingType>> = {
  read: 'read-only-storage',
  write: 'storage',
  uniform: 'uniform',
};

interface CompiledModule {
  readonly module: GPUShaderModule;
  readonly shader: LinkedShader;
}

/** Compiles kernels, each variant once, however often and however concurrently it is asked for. */
export class PipelineCache {
  private readonly layouts = new Map<
    string,
    { readonly group: GPUBindGroupLayout; readonly pipeline: GPUPipelineLayout }
  >();
  private readonly modules = new Map<string, CompiledModule>();
  private readonly pipelines = new Map<string, Promise<GPUComputePipeline>>();

  /** `modules`: the shader files to link from, by path; the package's own unless given. */
  constructor(
    private readonly device: GPUDevice,
    private readonly sources?: ReadonlyMap<string, string>,
  ) {}

  /**
   * The pipeline of a kernel whose bindings 0, 1, … of group 0 have these accesses. Starts compiling at once and in parallel with
   * others. Rejects with KernelError: the shader does not link or compile, its bindings differ, an override is unknown or missing.
   */
  get(source: KernelSource, access: readonly BindingAccess[]): Promise<GPUComputePipeline> {
    const key = JSON.stringify([variantOf(source), valuesOf(source), access]);
    const existing = this.pipelines.get(key);
    if (existing) return existing;
    const pipeline = this.compile(source, access);
    this.pipelines.set(key, pipeline);
    return pipeline;
  }

  /** The layout of group 0 of every kernel with these accesses. */
  bindGroupLayout(access: readonly BindingAccess[]): GPUBindGroupLayout {
    return this.layout(access).group;
  }

  /** Number of distinct pipelines asked for so far. */
  get size(): number {
    return this.pipelines.size;
  }

  private async compile(source: KernelSource, access: readonly BindingAccess[]): Promise<GPUComputePipeline> {
    const kernel = describeKernel(source);
    const sources = this.sources ?? (await shaderSources(filesOf(source)));
    const { beside } = source;
    // Few models have such kernels.
    const fusion = beside && (await import('./fuse_shaders'));
    const { module, shader } = this.module(source, () => {
      const linked = linkShader(source, sources);
      return beside && fusion
        ? fusion.fuseShaders(linked, linkShader(beside.kernel, sources), beside.bindings)
        : linked;
    });
    const own = source.overrides ?? {};
    const overrides =
      beside && fusion ? fusion.fusedOverrides(own, beside.kernel.overrides ?? {}, beside.fromGroup) : { ...own };
    checkOverrides(kernel, overrides, shader);
    try {
      return await this.device.createComputePipelineAsync({
        label: kernel,
        layout: this.layout(access).pipeline,
        compute: { module, entryPoint: 'main', constants: overrides },
      });
    } catch (cause) {
      const { messages } = await module.getCompilationInfo();
      if (messages.some(({ type }) => type === 'error')) throw compileError(kernel, shader, [...messages]);
      const reason = messageOf(cause);
      throw new KernelError(`${kernel}: ${reason}`, { cause, details: { kernel } });
    }
  }

  private module(source: KernelSource, link: () => LinkedShader): CompiledModule {
    const key = JSON.stringify(variantOf(source));
    const existing = this.modules.get(key);
    if (existing) return existing;
    const shader = link();
    // The scope only keeps a compile error from being reported as uncaptured: the pipeline's promise rejects with it.
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ label: source.entry, code: shader.code });
    this.device.popErrorScope().catch(() => null); // the device is gone: the caller learns from what it does next
    const compiled = { module, shader };
    this.modules.set(key, compiled);
    return compiled;
  }

  private layout(access: readonly BindingAccess[]): {
    readonly group: GPUBindGroupLayout;
    readonly pipeline: GPUPipelineLayout;
  } {
    const key = access.join();
    const existing = this.layouts.get(key);
    if (existing) return existing;
    const group = this.device.createBindGroupLayout({
      label: key,
      entries: access.map((kind, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: BUFFER_TYPES[kind] },
      })),
    });
    const layout = { group, pipeline: this.device.createPipelineLayout({ label: key, bindGroupLayouts: [group] }) };
    this.layouts.set(key, layout);
    return layout;
  }
}

/** A kernel's name for people: its entry file and what chooses its variant. */
export function describeKernel({ entry, swaps, constants, aliases, overrides, beside }: KernelSource): string {
  const choices = [...sorted(swaps).map(([, to]) => to), ...[aliases, constants, overrides].flatMap(namedValues)];
  const name = choices.length === 0 ? entry : `${entry} (${choices.join(', ')})`;
  return beside ? `${name} beside ${describeKernel(beside.kernel)}` : name;
}

/** The shader files that a kernel names; they import others. */
export function filesOf({ entry, swaps, beside }: KernelSource): string[] {
  return [entry, ...Object.values(swaps ?? {}), ...(beside ? filesOf(beside.kernel) : [])];
}

function namedValues(record: Readonly<Record<string, unknown>> | undefined): string[] {
  return sorted(record).map(([name, value]) => `${name}=${String(value)}`);
}

/** Everything that the linked text depends on, in a canonical order. */
function variantOf({ entry, swaps, constants, aliases, beside }: KernelSource): readonly unknown[] {
  const one = [entry, sorted(swaps), sorted(constants), sorted(aliases)];
  return beside ? [...one, variantOf(beside.kernel), beside.bindings] : one;
}

/** What the pipeline depends on beside the text, likewise. */
function valuesOf({ overrides, beside }: KernelSource): readonly unknown[] {
  return beside ? [sorted(overrides), valuesOf(beside.kernel), beside.fromGroup] : sorted(overrides);
}

function sorted<T>(record: Readonly<Record<string, T>> | undefined): [string, T][] {
  return Object.entries(record ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}

function checkOverrides(kernel: string, overrides: Readonly<Record<string, number>>, shader: LinkedShader): void {
  for (const [name, value] of Object.entries(overrides)) {
    if (!shader.overrides.has(name)) {
      const names = [...shader.overrides.keys()].sort().join(', ');
      throw new KernelError(`${kernel}: there is no override ${name}; there are: ${names || 'none'}`, {
        details: { kernel },
      });
    }
    if (!Number.isFinite(value))
      throw new KernelError(`${kernel}: override ${name} cannot be ${value}`, { details: { kernel } });
  }
  for (const [name, { hasDefault }] of shader.overrides) {
    if (hasDefault || Object.hasOwn(overrides, name)) continue;
    throw new KernelError(`${kernel}: override ${name} has no value and no default`, { details: { kernel } });
  }
}
