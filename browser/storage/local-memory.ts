/** Small texts that outlive a page, outside of its database. A browser that keeps none is one that was never here. */

export function recall(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // SecurityError: site data is blocked
  }
}

export function remember(name: string, text: string): void {
  try {
    localStorage.setItem(name, text);
  } catch {
    // Blocked, or full: what is told here is told again at the next visit.
  }
}
