import { KernelError } from '../errors';
import type { LinkedShader } from './linker';

/** What WebGPU says about a shader; a GPUCompilationMessage has these fields. */
export interface CompilerMessage {
  readonly type: string;
  readonly message: string;
  /** Counted from 1; 0 when the message has no place. */
  readonly lineNum: number;
  readonly linePos: number;
}

/** The compiler's errors with the file, line and text that each points to. `kernel` names the shader and its variant. */
export function compileError(kernel: string, shader: LinkedShader, messages: readonly CompilerMessage[]): KernelError {
  const errors = messages.filter(({ type }) => type === 'error');
  const lines = shader.code.split('\n');
  const text = errors.map(({ message, lineNum, linePos }) => {
    if (lineNum === 0) return message;
    const origin = shader.lineMap[lineNum - 1];
    const place = origin ? `${origin.file}:${origin.line}:${linePos}` : `linked line ${lineNum}:${linePos}`;
    const source = lines[lineNum - 1] ?? '';
    return `${place}: ${message}\n  ${source}\n  ${' '.repeat(Math.max(0, linePos - 1))}^`;
  });
  const first = shader.lineMap[(errors.find(({ lineNum }) => lineNum > 0)?.lineNum ?? 0) - 1];
  return new KernelError(`${kernel} does not compile:\n${text.join('\n')}`, {
    details: { kernel, ...(first && { file: first.file, line: first.line }) },
  });
}
