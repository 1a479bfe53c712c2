// Whether a key that is pressed there is meant for a field.

export function isTyping(target) {
  if (!(target instanceof Element)) return false;
  if (target.closest("textarea, select, [contenteditable]")) return true;
  const field = target.closest("input");
  return field !== null && !["checkbox", "radio", "button", "submit", "file"].includes(field.type);
}
