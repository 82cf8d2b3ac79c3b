// A second device for tests on machines without one. Its memory is the CPU's, but torch takes it for another device with
// generators of its own, and an operation refuses what a GPU refuses: the CPU's generators, and the CPU's tensors of one
// axis or more. Operations run on copies on the CPU (`cpu_fallback`), apart from views and those with a form of their own
// for other devices (convolutions, LSTM and GRU cells). It can be told to refuse doubles, as devices without them do.
#include <ATen/CPUFunctions.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/native/DispatchStub.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/library.h>

using at::Tensor;
constexpr auto HERE = c10::DeviceType::PrivateUse1;
static const c10::Device DEVICE(HERE, 0);

struct Memory final : at::Allocator {
  at::DataPtr allocate(size_t bytes) override {
    void* data = c10::alloc_cpu(bytes);
    return {data, data, &free, DEVICE};
  }
  static void free(void* data) { c10::free_cpu(data); }
  at::DeleterFnPtr raw_deleter() const override { return &free; }
  void copy_data(void* to, const void* from, std::size_t count) const override { std::memcpy(to, from, count); }
};
static Memory memory;

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return HERE; }
  c10::Device exchangeDevice(c10::Device) const override { return DEVICE; }
  c10::Device getDevice() const override { return DEVICE; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device d) const override { return c10::Stream(c10::Stream::DEFAULT, d); }
  c10::Stream getDefaultStream(c10::Device d) const override { return getStream(d); }
  c10::Stream getNewStream(c10::Device d, int) const override { return getStream(d); }
  c10::Stream exchangeStream(c10::Stream s) const override { return s; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void synchronizeDevice(const c10::DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Numbers final : at::CPUGeneratorImpl {
  explicit Numbers(uint64_t seed) : CPUGeneratorImpl(seed) {
    device_ = DEVICE;
    key_set_ = c10::DispatchKeySet(c10::DispatchKey::PrivateUse1);
  }

 private:
  Numbers* clone_impl() const override {
    auto made = new Numbers(current_seed());
    made->set_state(*get_state());
    return made;
  }
};
static at::Generator& standard() {
  static at::Generator one = at::make_generator<Numbers>(67280421310721ULL);
  return one;
}

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override { return standard(); }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::make_generator<Numbers>(c10::default_rng_seed_val); }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void init() const override {}
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override {
    at::DataPtr fresh = memory.allocate(bytes);
    if (storage.data()) std::memcpy(fresh.get(), storage.data(), std::min(bytes, storage.nbytes()));
    storage.set_data_ptr_noswap(std::move(fresh));
    storage.unsafeGetStorageImpl()->set_nbytes(bytes);
  }
  at::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::DeviceType::CPU); }
  bool isPinnedPtr(const void*) const override { return false; }
};

// The CPU's view of a tensor's memory.
static Tensor host(const Tensor& t) {
  if (t.device().type() != HERE) return t;
  Tensor kept = t;
  auto made = at::from_blob(t.storage().mutable_data() ? const_cast<void*>(t.const_data_ptr()) : nullptr, t.sizes(), t.strides(),
                            [kept](void*) {}, t.options().device(at::kCPU));
  if (t.is_conj()) made._set_conj(true);
  if (t.is_neg()) made._set_neg(true);
  return made;
}

// Whether it refuses doubles, as Apple's devices and some of Intel's do.
static bool single = false;
static void check_precision(std::optional<at::ScalarType> dtype) {
  const auto asked = c10::dtype_or_default(dtype);
  TORCH_CHECK_TYPE(!single || (asked != at::kDouble && asked != at::kComplexDouble), "the second device has no ", asked);
}

static Tensor empty_memory_format(c10::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                                  std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  check_precision(dtype);
  return at::detail::empty_generic(size, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(dtype), format);
}
static Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                            std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  check_precision(dtype);
  return at::detail::empty_strided_generic(size, stride, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1), c10::dtype_or_default(dtype));
}
static Tensor copy_from(const Tensor& self, const Tensor& dst, bool) {
  at::NoGradGuard none;
  if (self.device().type() == HERE && dst.scalar_type() != self.scalar_type()) check_precision(dst.scalar_type());  // it converts there
  host(dst).copy_(host(self));
  return dst;
}
static Tensor copy_from_and_resize(const Tensor& self, const Tensor& dst) {
  if (dst.sizes() != self.sizes()) at::native::resize_(dst, self.sizes(), std::nullopt);
  return copy_from(self, dst, false);
}
static c10::Scalar local_scalar(const Tensor& self) { return host(self).item(); }
static const Tensor& resize(const Tensor& self, c10::SymIntArrayRef size, std::optional<at::MemoryFormat> format) {
  return at::native::resize_(self, C10_AS_INTARRAYREF_SLOW(size), format);
}
static Tensor as_strided(const Tensor& self, c10::SymIntArrayRef size, c10::SymIntArrayRef stride, std::optional<c10::SymInt> offset) {
  return at::cpu::as_strided_symint(self, size, stride, offset);
}
static Tensor view(const Tensor& self, c10::SymIntArrayRef size) { return at::native::view(self, C10_AS_INTARRAYREF_SLOW(size)); }
static Tensor reshape_alias(const Tensor& self, c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
  return at::native::_reshape_alias(self, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride));
}
static Tensor& set_storage(Tensor& self, at::Storage source) { return at::native::set_(self, std::move(source)); }
static Tensor& set_offset(Tensor& self, at::Storage source, c10::SymInt offset, c10::SymIntArrayRef size, c10::SymIntArrayRef stride) {
  return at::cpu::set__symint(self, std::move(source), offset, size, stride);
}

static Tensor convolution(const Tensor& x, const Tensor& w, const std::optional<Tensor>& b, c10::SymIntArrayRef stride, c10::SymIntArrayRef padding,
                          c10::SymIntArrayRef dilation, bool transposed, c10::SymIntArrayRef output_padding, c10::SymInt groups) {
  std::optional<Tensor> bias = b.has_value() && b->defined() ? std::optional<Tensor>(host(*b)) : std::nullopt;
  TORCH_CHECK(x.device() == w.device(), "Input type and weight type should be on the same device: convolution");
  return at::convolution_symint(host(x), host(w), bias, stride, padding, dilation, transposed, output_padding, groups).to(DEVICE);
}
static std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& g, const Tensor& x, const Tensor& w, c10::SymIntArrayRef stride,
    c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation, bool transposed, c10::SymIntArrayRef output_padding, c10::SymInt groups,
    std::array<bool, 3> mask) {
  c10::SymInt units = transposed ? w.sym_size(1) * groups : w.sym_size(0);
  auto [a, b, c] = at::convolution_backward_symint(host(g), host(x), host(w), c10::SymIntArrayRef(&units, 1), stride, padding, dilation, transposed,
                                                   output_padding, groups, mask);
  auto back = [](const Tensor& t) { return t.defined() ? t.to(DEVICE) : t; };
  return {back(a), back(b), back(c)};
}
static std::optional<Tensor> host_or_none(const std::optional<Tensor>& t) {
  return t.has_value() && t->defined() ? std::optional<Tensor>(host(*t)) : std::nullopt;
}
// Its running statistics are written although its schema does not say so.
static std::tuple<Tensor, Tensor, Tensor> batch_norm(const Tensor& x, const std::optional<Tensor>& w, const std::optional<Tensor>& b,
    const std::optional<Tensor>& mean, const std::optional<Tensor>& var, bool training, double momentum, double eps) {
  auto [y, m, v] = at::native_batch_norm(host(x), host_or_none(w), host_or_none(b), host_or_none(mean), host_or_none(var), training, momentum, eps);
  return {y.to(DEVICE), m.to(DEVICE), v.to(DEVICE)};
}
static int64_t sdp_choice(const Tensor&, const Tensor&, const Tensor&, const std::optional<Tensor>&, double, bool, std::optional<double>, bool) { return 0; }

static Tensor added(const Tensor& a, const Tensor& b, const std::optional<Tensor>& c, const std::optional<Tensor>& d) {
  Tensor sum = host(a) + host(b);
  if (c.has_value() && c->defined()) sum = sum + host(*c);
  if (d.has_value() && d->defined()) sum = sum + host(*d);
  return sum;
}
static std::tuple<Tensor, Tensor, Tensor> lstm_cell(const Tensor& input, const Tensor& hidden, const Tensor& cx, const std::optional<Tensor>& ib,
                                                    const std::optional<Tensor>& hb) {
  auto gates = added(input, hidden, ib, hb).chunk(4, 1);
  Tensor i = gates[0].sigmoid(), f = gates[1].sigmoid(), g = gates[2].tanh(), o = gates[3].sigmoid();
  Tensor cy = f * host(cx) + i * g;
  return {(o * cy.tanh()).to(DEVICE), cy.to(DEVICE), at::cat({i, f, g, o}, 1).to(DEVICE)};
}
static std::tuple<Tensor, Tensor, Tensor> lstm_cell_backward(const std::optional<Tensor>& ghy, const std::optional<Tensor>& gcy, const Tensor& cx,
                                                             const Tensor& cy, const Tensor& workspace, bool bias) {
  Tensor c = host(cy), held = host(workspace);
  auto parts = held.chunk(4, 1);
  Tensor i = parts[0], f = parts[1], g = parts[2], o = parts[3], t = c.tanh();
  Tensor gy = ghy.has_value() && ghy->defined() ? host(*ghy) : at::zeros_like(c);
  Tensor gc = gy * o * (1 - t * t) + (gcy.has_value() && gcy->defined() ? host(*gcy) : at::zeros_like(c));
  Tensor all = at::cat({gc * g * i * (1 - i), gc * host(cx) * f * (1 - f), gc * i * (1 - g * g), gy * t * o * (1 - o)}, 1);
  return {all.to(DEVICE), (gc * f).to(DEVICE), bias ? all.sum(0).to(DEVICE) : Tensor()};
}
static std::tuple<Tensor, Tensor> gru_cell(const Tensor& input, const Tensor& hidden, const Tensor& hx, const std::optional<Tensor>& ib,
                                           const std::optional<Tensor>& hb) {
  auto x = added(input, at::zeros_like(host(input)), ib, std::nullopt).chunk(3, 1);
  auto h = added(hidden, at::zeros_like(host(hidden)), hb, std::nullopt).chunk(3, 1);
  Tensor r = (x[0] + h[0]).sigmoid(), z = (x[1] + h[1]).sigmoid(), n = (x[2] + r * h[2]).tanh();
  return {(n + z * (host(hx) - n)).to(DEVICE), at::cat({r, z, n, host(hx), h[2]}, 1).to(DEVICE)};
}
static std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> gru_cell_backward(const Tensor& ghy, const Tensor& workspace, bool bias) {
  Tensor held = host(workspace), gy = host(ghy);
  auto p = held.chunk(5, 1);
  Tensor r = p[0], z = p[1], n = p[2], hx = p[3], hn = p[4];
  Tensor gz = gy * (hx - n) * (1 - z) * z, gn = gy * (1 - z) * (1 - n * n), gr = gn * hn * (1 - r) * r;
  Tensor gi = at::cat({gr, gz, gn}, 1), gh = at::cat({gr, gz, gn * r}, 1);
  return {gi.to(DEVICE), gh.to(DEVICE), (gy * z).to(DEVICE), bias ? gi.sum(0).to(DEVICE) : Tensor(), bias ? gh.sum(0).to(DEVICE) : Tensor()};
}

static const std::set<std::string> INDEXED = {"aten::index", "aten::index_put_", "aten::_index_put_impl_", "aten::_unsafe_index", "aten::index_put"};
static const std::set<std::string> STRICT = {"aten::index_select", "aten::gather", "aten::scatter", "aten::scatter_", "aten::index_add",
  "aten::index_add_", "aten::index_copy_", "aten::index_fill_", "aten::embedding", "aten::searchsorted", "aten::take", "aten::scatter_add_", "aten::scatter_add"};

// What has no deterministic form on a CUDA device and is refused where `torch.use_deterministic_algorithms` asks for one.
static const std::set<std::string> DISORDERLY = {"aten::cumsum.out", "aten::cumsum.", "aten::histc.", "aten::median.dim",
  "aten::median.dim_values", "aten::kthvalue.", "aten::kthvalue.values", "aten::put_."};

static bool foreign(const Tensor& t, const std::string& name) {
  return t.defined() && t.device().type() != HERE && (t.dim() > 0 || STRICT.count(name));
}

static void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const std::string name = schema.name();
  const auto first = stack->size() - schema.arguments().size();
  if (DISORDERLY.count(name + "." + schema.overload_name())) at::globalContext().alertNotDeterministic(name);
  std::vector<std::pair<at::Generator, at::Generator>> given;
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    auto& value = (*stack)[first + i];
    const bool index = INDEXED.count(name) && schema.arguments()[i].name() == "indices";
    if (value.isTensor()) {
      TORCH_CHECK(!foreign(value.toTensor(), name), "Expected all tensors to be on the same device, but argument ", schema.arguments()[i].name(),
                  " of ", name, " is on ", value.toTensor().device(), " beside tensors on the second device");
    } else if (value.isTensorList() || value.isList() || value.isOptionalTensorList()) {
      for (const auto& one : value.toListRef()) {
        if (one.isTensor() && !index)
          TORCH_CHECK(!foreign(one.toTensor(), name), "Expected all tensors to be on the same device, but one of ", schema.arguments()[i].name(),
                      " of ", name, " is on ", one.toTensor().device());
      }
    }
    const auto& type = *schema.arguments()[i].type();
    if (type.str() == "Generator?" || type.str() == "Generator") {
      at::Generator own = value.isNone() ? standard() : value.toGenerator();
      TORCH_CHECK(own.device().type() == HERE, "Expected a generator of the second device but found one of the ", own.device(), " in ", name);
      auto plain = at::detail::createCPUGenerator();
      plain.set_state(own.get_state());
      given.emplace_back(own, plain);
      value = plain;
    }
  }
  at::native::cpu_fallback(op, stack);
  for (auto& [own, plain] : given) own.set_state(plain.get_state());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &empty_memory_format);
  m.impl("empty_strided", &empty_strided);
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
  m.impl("_local_scalar_dense", &local_scalar);
  m.impl("resize_", &resize);
  m.impl("as_strided", &as_strided);
  m.impl("view", &view);
  m.impl("_reshape_alias", &reshape_alias);
  m.impl("unfold", [](const Tensor& self, int64_t dim, int64_t size, int64_t step) { return at::native::unfold(self, dim, size, step); });
  m.impl("view_as_real", [](const Tensor& self) { return at::native::view_as_real(self); });
  m.impl("view_as_complex", [](const Tensor& self) { return at::native::view_as_complex(self); });
  m.impl("set_.source_Storage", &set_storage);
  m.impl("set_.source_Storage_storage_offset", &set_offset);
  m.impl("set_.source_Tensor", [](Tensor& self, const Tensor& source) -> Tensor& { return at::native::set_tensor_(self, source); });
  m.impl("convolution_overrideable", &convolution);
  m.impl("convolution_backward_overrideable", &convolution_backward);
  m.impl("native_batch_norm", &batch_norm);
  m.impl("_fused_sdp_choice", &sdp_choice);
  m.impl("_thnn_fused_lstm_cell", &lstm_cell);
  m.impl("_thnn_fused_lstm_cell_backward_impl", &lstm_cell_backward);
  m.impl("_thnn_fused_gru_cell", &gru_cell);
  m.impl("_thnn_fused_gru_cell_backward", &gru_cell_backward);
}
TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>()); }

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }
TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
  KERNEL_PRIVATEUSEONE(mm, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(addmm, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(bmm, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(matmul, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(linear, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(conv2d, lower_precision_fp)
  KERNEL_PRIVATEUSEONE(layer_norm, fp32)
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  static Hooks hooks;
  at::RegisterPrivateUse1HooksInterface(&hooks);
  c10::SetAllocator(HERE, &memory);
  m.def("default_generator", []() { return standard(); });
  m.def("refuse_doubles", [](bool refuse) { single = refuse; });
}
