// Which charset a text file has: guessed as `unrolld train --encoding auto` does
// it, by the byte-order mark, else UTF-8 if all of it is valid, else GB18030;
// and where that is not valid either, Windows' Latin. The user has the last word.

export const charsets = ["utf-8", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr", "koi8-r",
	"windows-1251", "windows-1252", "iso-8859-2", "utf-16le", "utf-16be"];

const marks = [["utf-8", [0xef, 0xbb, 0xbf]], ["utf-16le", [0xff, 0xfe]], ["utf-16be", [0xfe, 0xff]]];
const PREVIEW = 1500; // bytes

async function isValid(file, charset) {
	const decoder = new TextDecoder(charset, { fatal: true });
	const reader = file.stream().getReader();

	try {
		for (;;) {
			const { value, done } = await reader.read();

			decoder.decode(value, { stream: !done });
			if (done)
				return true;
		}
	} catch {
		reader.cancel();
		return false;
	}
}

// {charset, why}
export async function detect(file) {
	const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
	const mark = marks.find(([, bytes]) => bytes.every((b, i) => head[i] === b));

	if (mark)
		return { charset: mark[0], why: "detected: by its byte-order mark" };
	for (const charset of ["utf-8", "gb18030"])
		if (await isValid(file, charset))
			return { charset, why: "detected: all of it is valid" };
	return { charset: "windows-1252", why: "detected: it is neither UTF-8 nor GB18030" };
}

export async function preview(file, charset) {
	const bytes = await file.slice(0, PREVIEW).arrayBuffer();
	const text = new TextDecoder(charset).decode(bytes, { stream: file.size > PREVIEW });

	return file.size > PREVIEW ? `${text}…` : text;
}
