if (process.env.CRASH) throw new Error('crashed while loading');

export const handler = async (event, context) => {
  switch (event.do) {
    case 'fail':
      throw new RangeError(event.text);
    case 'exit':
      process.exit(7);
    case 'remaining':
      return context.getRemainingTimeInMillis();
    case 'context':
      return [context.clientContext.custom.word, process.env._X_AMZN_TRACE_ID ?? ''];
    case 'log':
      await Promise.all(['a', 'b', 'c'].map(async (who) => {
        for (let i = 0; i < event.lines; i++) {
          console.log(`${who} ${'x'.repeat(200)} ${i}`);
          await null;
        }
      }));
  }
  return event;
};
