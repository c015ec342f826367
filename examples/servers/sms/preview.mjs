/** How many text messages a text takes: 160 characters in the GSM alphabet, 70 in any other, fewer when split. */
const GSM = new Set(
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà',
);
/** Sent as two characters. */
const GSM_EXTENDED = new Set('^{}\\[~]|€\f');

export function preview(text) {
  const characters = [...text];
  const isGsm = characters.every((character) => GSM.has(character) || GSM_EXTENDED.has(character));
  const length = isGsm
    ? characters.reduce((sum, character) => sum + (GSM_EXTENDED.has(character) ? 2 : 1), 0)
    : text.length;
  const [single, part] = isGsm ? [160, 153] : [70, 67];
  const messageCount = length <= single ? 1 : Math.ceil(length / part);
  const capacity = messageCount === 1 ? single : messageCount * part;
  return {
    textPreview: text,
    encoding: isGsm ? 'GSM' : 'UCS2',
    messageCount,
    charactersRemaining: capacity - length,
  };
}
