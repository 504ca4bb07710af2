// A line that changes several times a second: by itself, without another look at the whole page.
export default {
  template: `<div>{{ text }}</div>`,
  data() {
    return { text: "" };
  },
  methods: {
    // Called by the server.
    show(text) {
      this.text = text;
    },
  },
};
