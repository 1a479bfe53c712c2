// What was dropped or chosen, as files with their paths: folders are walked through.

/** Hidden files of file managers are nobody's pictures. */
const NOT_MEANT = /(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*)$/;
const TOGETHER = 1000;

function meant(found) {
  return !NOT_MEANT.test(found.path);
}

function promised(call) {
  return new Promise((resolve, reject) => call(resolve, reject));
}

async function* walk(entry) {
  if (entry.isFile) {
    const file = await promised((resolve, reject) => entry.file(resolve, reject));
    yield { file, path: entry.fullPath.replace(/^\//, "") };
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A folder is read in pieces, until a piece is empty.
    const children = await promised((resolve, reject) => reader.readEntries(resolve, reject));
    if (!children.length) return;
    for (const child of children) yield* walk(child);
  }
}

/**
 * The files of a drop, in lists as they are found: a folder may hold very many.
 * @param {DataTransfer} transfer
 */
export async function* filesOfDrop(transfer) {
  // Both must be asked before anything is awaited: the transfer is empty afterwards.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [...transfer.files];
  if (!entries.length) {
    yield files.map((file) => ({ file, path: file.name })).filter(meant);
    return;
  }
  let found = [];
  for (const entry of entries) {
    for await (const one of walk(entry)) {
      if (meant(one)) found.push(one);
      if (found.length === TOGETHER) {
        yield found;
        found = [];
      }
    }
  }
  yield found;
}

/** The files of an input; those of a folder have their path in it. */
export function filesOfInput(input) {
  return [...input.files]
    .map((file) => ({ file, path: file.webkitRelativePath || file.name }))
    .filter(meant);
}
